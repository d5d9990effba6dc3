"""Pictures of models and of what a spec compares."""
