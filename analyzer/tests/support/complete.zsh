# zsh -f complete.zsh DIR LINE: what zsh offers behind LINE, one a line, with the completions of DIR. A shell in a
# pseudo-terminal gets the line and a tab; its `compadd` tells what it was given instead of showing it.
zmodload zsh/zpty || exit 1
setup=$(mktemp) || exit 1
cat >$setup <<'END'
PS1= PS2=
autoload -Uz compinit && compinit -D -u
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    typeset -a hits
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -- "OFFER:"$^hits":"
    return 0
}
tell_end() { print END:; }
comppostfuncs=(tell_end)
print READY:
END
zpty shell zsh -f -i
{
    zpty -w shell "fpath=(${(q)1} \$fpath); source $setup"
    zpty -r -m shell seen '*READY:*' || exit 1
    zpty -n -w shell "$2"$'\t'
    zpty -r -m shell seen '*END:*' || exit 1
    print -r -- "$seen" | sed -n 's/.*OFFER:\(.*\):.*/\1/p'
} always {
    zpty -d shell
    rm -f $setup
}
