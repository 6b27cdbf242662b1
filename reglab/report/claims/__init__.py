"""What runs say of a claim: the comparisons that it is made of, the looks at them, its verdict."""
