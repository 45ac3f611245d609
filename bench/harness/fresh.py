"""How long events took to be seen."""


def latencies(sent, seen, begin, end=float("inf")):
    """[(ms, events)], sorted, of the events that were sent from begin on,
    and before the end.

    sent is [(time, events)] in order, seen [(time, events so far)] in order.  The n-th
    event that was sent counts as seen with the first answer that holds n.
    """
    found = []
    before = 0  # events sent before those of i
    i = 0
    for at, total in seen:
        while i < len(sent) and before + sent[i][1] <= total:
            if begin <= sent[i][0] < end:
                found.append((at - sent[i][0], sent[i][1]))
            before += sent[i][1]
            i += 1
    return sorted(found)


def percentile(weighted, share):
    """Of [(value, weight)], sorted."""
    if not weighted:
        raise RuntimeError("of what was sent nothing was seen in time")
    rest = share * sum(n for _, n in weighted)
    for value, n in weighted:
        rest -= n
        if rest <= 0:
            return value
    return weighted[-1][0]
