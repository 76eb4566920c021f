"""What is wrong with the labels of a whole set: how they are saved, and which classes they hold."""
