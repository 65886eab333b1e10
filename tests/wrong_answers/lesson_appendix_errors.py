"""Plausible wrong answers to the exercises of the appendix on errors, and a part of the message each must get."""

WRONG = {
    "e0_5": [
        (
            "leaves out what was renamed",
            "    known = {'output_dir', 'learning_rate'}\n"
            "    return {name: value for name, value in settings.items() if name in known}\n",
            "you dropped the evaluation",
        ),
        (
            "forgets what is gone",
            "    renamed = {'evaluation_strategy': 'eval_strategy', 'warmup_ratio': 'warmup_steps', 'no_cuda': 'use_cpu'}\n"
            "    return {renamed.get(name, name): value for name, value in settings.items()}\n",
            "unexpected keyword argument",
        ),
        (
            "changes the dictionary it was given",
            "    settings['eval_strategy'] = settings.pop('evaluation_strategy')\n"
            "    settings['warmup_steps'] = settings.pop('warmup_ratio')\n"
            "    settings['use_cpu'] = settings.pop('no_cuda')\n"
            "    del settings['logging_dir'], settings['overwrite_output_dir']\n    return settings\n",
            "make a new one",
        ),
        (
            "a fixed number of warm-up steps",
            "    renamed = {'evaluation_strategy': 'eval_strategy', 'no_cuda': 'use_cpu'}\n"
            "    gone = {'logging_dir', 'overwrite_output_dir', 'warmup_ratio'}\n"
            "    return {renamed.get(n, n): v for n, v in settings.items() if n not in gone} | {'warmup_steps': 500}\n",
            "with the same value, below 1",
        ),
        (
            "drops the choice of the CPU",
            "    renamed = {'evaluation_strategy': 'eval_strategy', 'warmup_ratio': 'warmup_steps'}\n"
            "    gone = {'logging_dir', 'overwrite_output_dir', 'no_cuda'}\n"
            "    return {renamed.get(n, n): v for n, v in settings.items() if n not in gone}\n",
            "no_cuda is now use_cpu",
        ),
    ],
    "e0_6": [
        (
            "hands over the ids alone",
            "    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(inputs['input_ids']).logits.softmax(-1)\n",
            "hand over the attention mask",
        ),
        (
            "softmax over the texts",
            "    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(**inputs).logits.softmax(0)\n",
            "the classes compete, not the texts",
        ),
        (
            "no truncation",
            "    inputs = tokenizer(texts, padding=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(**inputs).logits.softmax(-1)\n",
            "your code stopped with",
        ),
        (
            "logits",
            "    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(**inputs).logits\n",
            "logits and sigmoids don't sum to 1",
        ),
        (
            "a sigmoid in place of the softmax",
            "    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(**inputs).logits.sigmoid()\n",
            "logits and sigmoids don't sum to 1",
        ),
        (
            "keeps the gradient",
            "    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors='pt').to(model.device)\n"
            "    return model(**inputs).logits.softmax(-1)\n",
            "torch.no_grad()",
        ),
        (
            "returns the winner",
            "    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(**inputs).logits.argmax(-1)\n",
            "return all probabilities",
        ),
        (
            "gives each class the same",
            "    return torch.full((len(texts), 2), 0.5)\n",
            "the model's own probabilities",
        ),
        (
            "cuts at half of the limit",
            "    inputs = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors='pt')\n"
            "    with torch.no_grad():\n        return model(**inputs.to(model.device)).logits.softmax(-1)\n",
            "cut at its limit of 512 pieces",
        ),
        (
            "cuts at 512 characters",
            "    inputs = tokenizer([t[:512] for t in texts], padding=True, return_tensors='pt').to(model.device)\n"
            "    with torch.no_grad():\n        return model(**inputs).logits.softmax(-1)\n",
            "cut at its limit of 512 pieces",
        ),
    ],
}
