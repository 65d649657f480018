"""What is peculiar to one provider, file by file."""
