"""How pico, the bundled model, is trained to do every task of `circuitsearch.tasks`; its card is in `circuitsearch/models/pico`."""
