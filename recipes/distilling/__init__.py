"""The parts of `recipes/starter.py`: photographs, crops, teacher, training, graph, card, evaluation."""
