"""What is computed and drawn from embeddings and answers."""
