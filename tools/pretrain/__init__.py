"""Pretrain and distil the embedded pair, in the way of the DistilBERT paper.

Run ``python -m tools.pretrain --help``. The steps, in order: ``corpus`` collects the text, ``vocab`` makes the
WordPiece vocabulary and the token ids, ``teacher`` trains a masked language model, ``student`` halves and distils it.
"""
