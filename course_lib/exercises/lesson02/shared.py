"""What several exercises of lesson 02 share."""


def purity_by_mode(labels, top):
    rows = labels[top]
    return (rows == rows.mode(dim=1).values[:, None]).double().mean(1)
