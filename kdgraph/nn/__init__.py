"""What is computed: criteria, masks, adapters and the assignment, as modules of tensors."""
