# SPDX-License-Identifier: GPL-2.0
# Traffic in the background, of which nothing is left behind when it is stopped:
#
#	sh traffic.sh start COMMAND	runs it again and again
#	sh traffic.sh stop		ends all that was started

case $1 in
start)
    # A process group of its own: its end is that of the commands in it as well.
    setsid sh -c "while :; do $2 || sleep 0.1; done" > /dev/null 2>&1 &
    echo $! >> /run/traffic
    ;;
stop)
    while read -r group; do
        while kill -KILL "-$group" 2> /dev/null; do sleep 0.01; done
    done < /run/traffic
    rm /run/traffic
    ;;
esac
