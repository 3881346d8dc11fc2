"""The report's figures of photographs, from the record: Figures 3 and 4, 5, and 6."""

import matplotlib.pyplot as plt

from .evidence import Evidence
from .photographs import unpacked


def _shown(axis, text: str, title: str = "") -> None:
    """A picture of the record, with a title."""
    axis.imshow(unpacked(text))
    axis.set_title(title, fontsize=8)
    axis.axis("off")


def strongest_crops(evidence: Evidence):
    """Figures 3 and 4: the crops that excite single units most, and random directions."""
    units = evidence.get("photographs").get("units")
    if not units or "shown" not in units:
        return None
    shown, names = units["shown"], evidence.get("photographs")["ostrich"]["names"]
    kinds = {"units": [f"unit {unit}" for unit in shown["unit"]]}
    kinds["directions"] = [f"direction {k + 1}" for k in range(len(shown["directions"]))]
    across = len(shown["units"][0])
    figure, axes = plt.subplots(4, 2 * across + 1, figsize=(9.6, 2.4))
    for block, (kind, labels) in enumerate(kinds.items()):
        for i, (row, label) in enumerate(zip(shown[kind], labels, strict=True)):
            for k, text in enumerate(row):
                axis = axes[i, block * (across + 1) + k]
                axis.imshow(unpacked(text))
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if k == 0:
                    axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7)
    for axis in axes[:, across]:
        axis.axis("off")
    titles = ("single units (as the paper's Figure 3)", "random directions (as its Figure 4)")
    for block, title in enumerate(titles):
        axes[0, block * (across + 1) + across // 2].set_title(title, fontsize=9, ha="center")
    said = {
        kind: "; ".join(" ".join(names[k] for k in row) for row in shown[f"{kind} of"])
        for kind in kinds
    }
    alt = (
        f"Parts of photographs in two blocks of {len(shown['unit'])} rows of {across}: the crops "
        f"that excite units {', '.join(map(str, shown['unit']))} of EfficientNet-Lite0's last "
        f"layer most, and those for random directions of it. Of which photographs, row by row, the "
        f"units: {said['units']}; for the directions: {said['directions']}."
    )
    e = units["photograph"]
    note = (
        f"The {across} of {units['crops']} crops that excite each most; units and directions are "
        f"drawn with a seed. The most frequent photograph of a row has on average "
        f"{100 * e['units']:.0f} % of it for all units, {100 * e['directions']:.0f} % for "
        f"directions, {100 * e['chance']:.0f} % for crops drawn blindly."
    )
    return figure, "Figures 3 and 4, here.", note, alt


def ostriches(evidence: Evidence):
    """Figure 5: photographs, the changes enlarged, and what the network takes for an ostrich."""
    found = evidence.get("photographs").get("ostrich")
    if not found or "shown" not in found:
        return None
    shown = found["shown"]
    figure, axes = plt.subplots(3, len(shown["index"]), figsize=(6.4, 5.6))
    said = []
    for k, index in enumerate(shown["index"]):
        before, after = found["class"][index], "ostrich" if found["success"][index] else "not found"
        _shown(axes[0, k], shown["photographs"][k], before)
        _shown(axes[1, k], shown["changes"][k], f"x {shown['enlarged'][k]:.0f}")
        _shown(axes[2, k], shown["ostriches"][k], after)
        size = found["distortion"][index]
        said.append(
            f"{found['names'][index]}, read as {before}, then as {after}"
            + ("" if size is None else f" (distortion {size:.5f})")
        )
    alt = (
        "Photographs in three rows: as they are, what is added to each, enlarged, which looks like "
        f"noise, and the sums, which look like the first row: {'; '.join(said)}."
    )
    note = (
        "For EfficientNet-Lite0. Above a picture what the network says of it; the middle row is "
        f"enlarged by the factor above it. {sum(found['success'])} of {len(found['success'])} "
        "photographs were turned so."
    )
    return figure, "Figure 5, here.", note, alt


def switched_off(evidence: Evidence):
    """Figure 6: what excites a unit most, and the same switched off."""
    found = evidence.get("photographs").get("detectors", {})
    found = {name: e for name, e in found.items() if isinstance(e, dict) and "shown" in e}
    if not found:
        return None
    figure, axes = plt.subplots(2, len(found), figsize=(1.7 * len(found) + 0.6, 3.9), squeeze=False)
    said = []
    for k, (name, e) in enumerate(found.items()):
        for axis, text, value in zip(axes[:, k], e["shown"], e["above"], strict=True):
            _shown(axis, text, f"unit {e['unit']}: {value:+.2f}")
        said.append(
            f"a crop of {name}, unit {e['unit']} at {e['above'][0]:+.2f}, changed to "
            f"{e['above'][1]:+.2f}"
        )
    alt = (
        "Crops of photographs in two rows, as they are and changed, which look alike; by how much "
        f"a unit lies above its detector's threshold: {'; '.join(said)}."
    )
    note = (
        "Units of EfficientNet-Lite0's last layer that tell one photograph's crops from all "
        "others. Above a crop: by how much its unit lies above the threshold, in standard "
        "deviations of the unit; below 0 the detector is off."
    )
    return figure, "Figure 6, here.", note, alt
