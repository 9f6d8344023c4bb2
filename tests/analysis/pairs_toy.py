"""Pairs of scans as slow as they are plain, to check the fast ones against."""


def slow_pairs(patient, visit, view):
    """The definition, one pair at a time."""
    names = [None if v is None or v != v or v == "" else v for v in view]
    return [
        [i, j]
        for i in range(len(patient))
        for j in range(i + 1, len(patient))
        if patient[i] == patient[j] and names[i] == names[j] and -1 not in (visit[i], visit[j])
        if visit[i] != visit[j]
    ]
