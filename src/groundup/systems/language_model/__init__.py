"""A language model from nothing: tokenizer, pre-training, SFT, DPO, GRPO, quantization, export, chat and a server.

Each stage reads what the one before wrote into a run folder. `groundup llm` is its command.
"""
