"""The classifier as a web page: a model, a tokenizer and a page of plain JavaScript, with nothing loaded from elsewhere."""
