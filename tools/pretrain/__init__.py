"""Pretrain and distil the embedded pair, in the way of the DistilBERT paper.

Run ``python -m tools.pretrain --help``. The steps, in order: ``corpus`` collects the text and makes the token ids,
``teacher`` goes on with masked LM from MiniLM's weights, ``student`` distils it into half the layers, ``evaluate``
measures both.

``teacher`` and ``student`` also train in several processes of one machine. The result is that of one process, up to rounding::

    torchrun --standalone --nproc-per-node 2 -m tools.pretrain teacher --plan gpu

Each process takes a part of each batch's rows, on a GPU of its own (NCCL) or on the CPU (gloo; ``OMP_NUM_THREADS`` threads
each). With ``--max-restarts 3`` a killed run resumes from the last checkpoint, and so does one that
``--stop-after`` ended. The number of processes may differ from that of the run that wrote the checkpoint.
"""
