"""What only inference needs from outside: image decoding."""
