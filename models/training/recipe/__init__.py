"""The recipe of Floe's bundled speech model: text, voices, features, network, training, export, evaluation."""
