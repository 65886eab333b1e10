"""The tickets of lesson 10: what their card says is what the files give."""

import csv
from collections import Counter

from conftest import ROOT

FOLDER = ROOT / "data/tickets"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


def rows(name):
    with open(FOLDER / f"{name}.csv", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_card_s_counts_and_examples_are_those_of_the_file():
    tickets = rows("tickets")
    senders = {row["sender"] for row in tickets}
    assert f"{len(tickets)} short tickets" in CARD and f"by {len(senders)} senders" in CARD
    for queue, count in Counter(row["queue"] for row in tickets).items():
        line = next(line for line in CARD.splitlines() if line.startswith(f"| `{queue}` |"))
        *_, number, example = line.strip("| ").split(" | ")
        assert int(number) == count
        assert (example, queue) in {(row["message"], row["queue"]) for row in tickets}


def test_the_wrong_queues_are_rows_of_the_file_and_differ_from_the_right_ones():
    tickets = {row["ticket"]: row for row in rows("tickets")}
    wrong = rows("wrong_queues")
    assert len(wrong) == 8 and "eight tickets" in CARD
    queues = {row["queue"] for row in tickets.values()}
    for row in wrong:
        given = tickets[row["ticket"]]
        assert (given["message"], given["queue"]) == (row["message"], row["queue"])
        assert row["right"] in queues - {row["queue"]}


def test_new_tickets_have_no_queue_and_senders_of_their_own():
    new = rows("new_tickets")
    assert len(new) == 12 and "queue" not in new[0] and all(row["message"].strip() for row in new)
    assert not {row["sender"] for row in new} & {row["sender"] for row in rows("tickets")}


def test_the_copies_that_the_card_speaks_of_are_forwarded_tickets():
    tickets = rows("tickets")
    texts = {row["message"].rstrip(".!") for row in tickets}
    forwarded = [row for row in tickets if row["message"].startswith("FW: ")]
    assert len(forwarded) == 4 and {row["sender"] for row in forwarded} == {"s44"}
    assert all(row["message"][4:].rstrip(".!") in texts for row in forwarded)
