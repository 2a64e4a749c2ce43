"""What two successive partial transcripts agree on: words that will very likely stand in the final one."""


def stable_prefix(earlier: str, later: str) -> str:
    """Return the beginning of `later` whose words both have, without the last word of either: that one may still grow.

    Compared letter by letter, punctuation included, because only equal text finds its tokens in the cache.
    """
    first, second = earlier.split()[:-1], later.split()[:-1]
    count = 0
    while count < min(len(first), len(second)) and first[count] == second[count]:
        count += 1
    return " ".join(second[:count])
