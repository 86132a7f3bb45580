"""What the engines have in common: the same questions in the SQL that all of them speak.

What only one can say stands in a method of its `Database`, or in its own modules.
"""
