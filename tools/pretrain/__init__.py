"""Pretrain and distil the embedded pair, in the way of the DistilBERT paper.

Run ``python -m tools.pretrain --help``. The steps, in order: ``corpus`` collects the text and makes the token ids,
``teacher`` goes on with masked LM, ``student`` halves and distils the teacher, ``evaluate`` measures both.

``teacher`` and ``student`` also train in several processes of one machine, with the result of one to rounding::

    torchrun --standalone --nproc-per-node 2 -m tools.pretrain teacher --plan gpu

A process takes its share of each batch's rows, on a GPU of its own (NCCL) or on the CPU (gloo; ``OMP_NUM_THREADS`` is the
number of threads of each). With ``--max-restarts 3`` a killed run goes on from the last checkpoint, and a run stopped by
``--stop-after`` does too. Any number of processes goes on from the checkpoint of any other.
"""
