#!/bin/sh
# A file of orders: of ten nine have an address of their own, of a thousand one has no number, one a
# wrong country and one nothing to pay. usage: rows_make.sh ROWS >FILE
awk -v n="$1" 'BEGIN { print "id,email,country,amount"; for (i = 0; i < n; i++) {
  who = i % 10 == 9 ? i - 1 : i; country = substr("DEFRNO", i % 3 * 2 + 1, 2); amount = i % 97 + 0.5
  if (i % 1000 == 1) amount = "much"; if (i % 1000 == 2) country = "XX"; if (i % 1000 == 3) amount = -1
  printf "%d, User%d@Example.org ,%s,%s\n", i, who, country, amount } }'
