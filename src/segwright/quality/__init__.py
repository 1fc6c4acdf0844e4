"""How good a prediction can be expected to be: signals of doubt, and what they meant on cases nobody had seen."""
