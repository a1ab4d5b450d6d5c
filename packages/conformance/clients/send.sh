#!/bin/bash
# Sends a message: send.sh HOST PORT USER TARGET MESSAGE. The shortest client that keeps every MUST.
exec 3<> "/dev/tcp/$1/$2" || exit 4
ask() {
  printf '%s\n' "$1" >&3
  while IFS= read -r answer <&3; do
    case $answer in MSG\ *) ;; ACCEPT | ACK) return ;; *) echo "$answer" >&2 && exit 3 ;; esac
  done
  exit 5
}
ask "CONNECT $3" && ask "SEND $4 $5"
