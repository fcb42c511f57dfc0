"""pico, the bundled model: small enough to ship, trained to do every task of `circuitsearch.tasks`.

The folder holds the weights, the tokenizer and their card (CARD.md); `train.py` makes them.
"""
