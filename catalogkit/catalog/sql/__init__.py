"""What both engines share: queries in the SQL that both of them speak.

What only one can say stands in a method of its `Database`, or in its own modules.
"""
