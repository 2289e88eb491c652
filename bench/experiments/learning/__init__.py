"""Does it train as well? Every method on every task, with seeds and learning rates."""
