"""How the models that come with circuitsearch are made; not part of the package."""
