#!/bin/sh
# What examples/orders.lua does, by Miller and the command of SQLite. usage: rows_peer.sh FILE FOLDER
set -eu
rm -f "$2/peer.db"
mlr --icsv --ocsv put '$email = tolower(strip($email)); $country = toupper(strip($country))' \
  then filter 'is_numeric($amount) && $amount > 0' then head -n 1 -g email \
  then filter '$country =~ "^(DE|FR|NO)$"' "$1" >"$2/peer.csv"
sqlite3 "$2/peer.db" '.mode csv' ".import $2/peer.csv orders"
mlr --icsv --ojson stats1 -a count,sum,max,p50 -f amount -g country "$2/peer.csv"
