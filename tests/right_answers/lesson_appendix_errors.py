"""Right answers to the appendix on errors, written another way than the solution: each must get all points."""

RIGHT = {
    "e0_5": [
        (
            "a copy, changed name by name",
            "    new = dict(settings)\n"
            "    for old, name in [('evaluation_strategy', 'eval_strategy'), ('warmup_ratio', 'warmup_steps'),\n"
            "                      ('no_cuda', 'use_cpu')]:\n"
            "        if old in new:\n            new[name] = new.pop(old)\n"
            "    new.pop('logging_dir', None)\n    new.pop('overwrite_output_dir', None)\n    return new\n",
        ),
    ],
    "e0_6": [
        (
            "text by text, so that nothing is padded",
            "    rows = []\n"
            "    with torch.inference_mode():\n"
            "        for text in texts:\n"
            "            inputs = tokenizer(text, truncation=True, max_length=512, return_tensors='pt')\n"
            "            rows.append(torch.softmax(model(**inputs.to(model.device)).logits[0], dim=0))\n"
            "    return torch.stack(rows)\n",
        ),
    ],
}
