"""Weight decay (Krogh and Hertz 1991), decoupled with AdamW (Loshchilov and Hutter 2019)."""
