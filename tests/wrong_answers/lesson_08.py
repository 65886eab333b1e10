"""Plausible wrong answers to the exercises of lesson 08, and a part of the message each must get."""

BY_NOTE = (
    "    out = {}\n"
    "    for kind in {e[2] for entities in [*truth, *claimed] for e in entities}:\n"
    "        found = sum(e[2] == kind for t, c in zip(truth, claimed) for e in t & c)\n"
    "        there = sum(e[2] == kind for t in truth for e in t)\n"
    "        said = sum(e[2] == kind for c in claimed for e in c)\n"
    "        out[kind] = (found / said if said else 0.0, found / there if there else 0.0)\n"
    "    return out\n"
)
PIECES = (
    "    out, before = [], None\n"
    "    for word in word_ids:\n"
    "        if word is None:\n            out.append(None)\n"
    "        elif word == before:\n            out.append({later})\n"
    "        else:\n            out.append(tags[word])\n"
    "        before = word\n"
    "    return out\n"
)
WINDOWS = (
    '    out, depth = ["O"] * length, [-1] * length\n'
    "    for start, tags in windows:\n"
    "        for place, tag in enumerate(tags):\n"
    "            deep = {deep}\n"
    "            if deep {better} depth[start + place]:\n"
    "                out[start + place], depth[start + place] = tag, deep\n"
    "    return out\n"
)

WRONG = {
    "e8_1": [
        (
            "returns a constant",
            '    return {"person": (1.0, 2 / 3), "town": (0.0, 0.0), "firm": (0.0, 0.0)}\n',
            "your code stopped with KeyError",
        ),
        (
            "exchanges precision and recall",
            BY_NOTE.replace(
                "(found / said if said else 0.0, found / there if there else 0.0)",
                "(found / there if there else 0.0, found / said if said else 0.0)",
            ),
            "precision comes first",
        ),
        (
            "throws all notes into one set",
            "    truth, claimed = [set().union(*truth)], [set().union(*claimed)]\n" + BY_NOTE,
            "count note by note",
        ),
        (
            "takes the kinds that are there",
            BY_NOTE.replace("[*truth, *claimed]", "truth"),
            "your code stopped with KeyError",
        ),
        (
            "takes the kinds that are claimed",
            BY_NOTE.replace("[*truth, *claimed]", "claimed"),
            "your code stopped with KeyError",
        ),
        (
            "does not guard the division",
            BY_NOTE.replace("found / said if said else 0.0", "found / said"),
            "your code stopped with ZeroDivisionError",
        ),
        (
            "compares first words alone",
            BY_NOTE.replace(
                "for e in t & c)", "for e in t if any(e[0] == o[0] and e[2] == o[2] for o in c))"
            ),
            "only if both borders and the kind are right",
        ),
        (
            "compares borders alone",
            BY_NOTE.replace("for e in t & c)", "for e in t if e[:2] in {o[:2] for o in c})"),
            "compare the kind as well",
        ),
        (
            "empties the sets that it got",
            "    for entities in [*truth, *claimed]:\n        entities.clear()\n" + BY_NOTE,
            "your code stopped with KeyError",
        ),
    ],
    "e8_2": [
        (
            "returns a constant",
            '    return ["O", "B-town"]\n',
            "gets None",
        ),
        (
            "repeats the tag on every piece",
            "    return [None if word is None else tags[word] for word in word_ids]\n",
            "one town would become three",
        ),
        ("leaves later pieces out", PIECES.format(later='"O"'), "one town would become three"),
        (
            "gives an O a kind",
            PIECES.format(later='"I-" + tags[word][2:]'),
            "only a B- changes",
        ),
        (
            "counts words itself",
            "    out, words, before = [], iter(tags), None\n"
            "    for word in word_ids:\n"
            "        if word is not None and word != before:\n            tag = next(words)\n"
            '        out.append(None if word is None else tag.replace("B-", "I-") if word == before else tag)\n'
            "        before = word\n"
            "    return out\n",
            "ask word_ids for the word",
        ),
        (
            "begins a name only after an O",
            "    out = []\n"
            "    for word in word_ids:\n"
            "        tag = None if word is None else tags[word]\n"
            '        inside = out and out[-1] not in (None, "O") and tag\n'
            '        out.append(tag.replace("B-", "I-") if inside else tag)\n'
            "    return out\n",
            "begins a new name",
        ),
        (
            "changes the tags that it got",
            "    out = []\n"
            "    for word in word_ids:\n"
            "        out.append(None if word is None else tags[word])\n"
            "        if word is not None:\n"
            '            tags[word] = tags[word].replace("B-", "I-")\n'
            "    return out\n",
            "build a new list",
        ),
    ],
    "e8_3": [
        (
            "returns a constant",
            '    return ["a0", "a1", "a2", "a3", "b4", "b5", "b6"]\n',
            "one tag for each word",
        ),
        (
            "joins the windows end to end",
            "    return [tag for start, tags in windows for tag in tags]\n",
            "must not be there twice",
        ),
        (
            "lets the last window win",
            WINDOWS.format(deep="0", better=">="),
            "word 2 is in the middle of the first window",
        ),
        (
            "lets the first window win",
            WINDOWS.format(deep="0", better=">"),
            "word 2 is in the middle of the first window",
        ),
        (
            "counts from the left edge alone",
            WINDOWS.format(deep="place", better=">"),
            "word 4 the other way round",
        ),
        (
            "takes the later of equals",
            WINDOWS.format(deep="min(place, len(tags) - 1 - place)", better=">="),
            "so the earlier one counts",
        ),
        (
            "takes the first word's number for 0",
            WINDOWS.format(deep="min(place, len(tags) - 1 - place)", better=">").replace(
                "start + place", "place"
            ),
            "a window's first word is the number",
        ),
        (
            "leaves the gaps out",
            WINDOWS.format(deep="min(place, len(tags) - 1 - place)", better=">").replace(
                "return out", "return [tag for tag, deep in zip(out, depth) if deep >= 0]"
            ),
            "begin with O for every word",
        ),
        (
            "sorts the windows that it got, and empties them",
            WINDOWS.format(deep="min(place, len(tags) - 1 - place)", better=">").replace(
                "    return out", "    windows.clear()\n    return out"
            ),
            "build a new list",
        ),
    ],
}
