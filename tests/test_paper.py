"""The paper's numbers are typed in once; these tests look for slips of the fingers."""

import pytest

from course_lib import models, paper


def explained(n: int) -> int:
    """How many entries of Tables 2 and 4, as printed, are a whole number of n images."""
    count = 0
    for row in [*paper.TABLE2.values(), *paper.TABLE4.values()]:
        for share in row:
            digits = max(1, len(f"{100 * share:.6g}".partition(".")[2]))
            whole = round(share * n)
            near = (whole - 1, whole, whole + 1)
            count += any(round(100 * k / n, digits) == round(100 * share, digits) for k in near)
    return count


def test_the_tables_are_shares_of_256_images():
    # the paper does not print its sample size; the entries give it away, and an entry that was
    # typed wrongly would hardly be a multiple of 1/256
    others = max(explained(n) for n in range(50, 420) if n != 256)
    assert explained(256) >= others + 10


@pytest.mark.parametrize("table", [paper.TABLE2, paper.TABLE4])
def test_a_network_fails_on_all_of_its_own_examples(table):
    columns = list(table)[: len(next(iter(table.values())))]
    for k, name in enumerate(columns):
        assert table[name][k] == 1.0
        assert all(share < 1 for j, share in enumerate(table[name]) if j != k)


def test_all_rows_have_all_columns():
    assert {len(row) for row in paper.TABLE2.values()} == {len(paper.TABLE2_COLUMNS)} == {6}
    assert {len(row) for row in paper.TABLE4.values()} == {len(paper.TABLE4_COLUMNS)} == {3}


def test_names_are_the_networks_names():
    assert set(paper.TABLE1) | set(paper.TABLE3) == set(paper.DECAY) <= set(models.NETWORKS)


def test_the_product_of_table_5_is_the_one_that_follows_from_it():
    product = 1.0
    for _, _, bound in paper.TABLE5.values():
        product *= bound
    assert product == pytest.approx(7.93e5, rel=0.01)


def test_every_claim_names_its_place():
    for claim in paper.CLAIMS:
        assert claim.text.endswith(".")
        assert claim.section[0] in "34"
        assert claim.lesson[0] == "0"
