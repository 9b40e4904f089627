"""Pictures of another kind than a model learns from: corruptions of those that it does."""
