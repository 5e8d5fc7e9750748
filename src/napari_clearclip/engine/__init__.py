"""Pure functions on tensors and arrays: model, attention, windows, encoder, text, comparison and decision."""
