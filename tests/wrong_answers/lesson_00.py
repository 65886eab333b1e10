"""Plausible wrong answers to the exercises of lesson 00, and a part of the message each must get."""

WRONG = {
    "e0_1": [
        (
            "counts from 0",
            "    words = [answer['token_str'] for answer in answers]\n"
            "    return words.index(word.lower()) if word.lower() in words else None\n",
            "a rank that starts at 1",
        ),
        (
            "returns the probability",
            "    for answer in answers:\n        if answer['token_str'] == word.lower():\n            return answer['score']\n",
            "not the probability",
        ),
        (
            "compares capitals with small letters",
            "    for rank, answer in enumerate(answers, start=1):\n        if answer['token_str'] == word:\n"
            "            return rank\n",
            "compare in small letters",
        ),
        (
            "stops where the word is missing",
            "    return [answer['token_str'] for answer in answers].index(word.lower()) + 1\n",
            "your code stopped with ValueError",
        ),
        (
            "returns 0 for a missing word",
            "    for rank, answer in enumerate(answers, start=1):\n        if answer['token_str'] == word.lower():\n"
            "            return rank\n    return 0\n",
            "return None",
        ),
        (
            "leaves the loop at the first answer",
            "    for rank, answer in enumerate(answers, start=1):\n"
            "        return rank if answer['token_str'] == word.lower() else None\n",
            "the place in the list",
        ),
    ],
    "e0_2": [
        (
            "returns seconds",
            "    return 3 * texts * tokens_per_text * epochs / forward_tokens_per_second\n",
            "divide by 60",
        ),
        (
            "counts the forward pass only",
            "    return texts * tokens_per_text * epochs / forward_tokens_per_second / 60\n",
            "three times as long",
        ),
        (
            "forgets the epochs",
            "    return 3 * texts * tokens_per_text / forward_tokens_per_second / 60\n",
            "multiply by the number of epochs",
        ),
        (
            "multiplies by the speed",
            "    return 3 * texts * tokens_per_text * epochs * forward_tokens_per_second / 60\n",
            "divide the tokens by the tokens per second",
        ),
    ],
    "e0_3": [
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
    "e0_4": [
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
    ],
}
