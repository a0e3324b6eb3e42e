# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The two small programs that run inside machines, as texts: the hook tools and the unpacker."""

HOME = "/var/lib/juju"
TOOL_SOCKET = "tools.sock"

# Every hook tool is a link to this program; it asks the daemon over the mounted socket. It is
# Perl's, without a module, for there are many calls and that starts in a quarter of the time that
# Python takes; perl-base is in every Debian and Ubuntu. socket(…, 1, 1, 0) is a unix stream.
# It sends its words with NUL between them; it gets an exit code, the output's length, both texts.
JUJUC = """#!/usr/bin/perl
$SIG{PIPE} = "IGNORE";
sub fail { print STDERR "ERROR @_\\n"; exit 1 }
my @files;
for my $at (0 .. $#ARGV) {
    my ($name, $value) = split /=/, $ARGV[$at], 2;
    my $path = $name eq "--file" && !length $value ? $ARGV[$at + 1] : $value;
    next unless $name eq "--file" || $name =~ /#file$/;
    my $file = *STDIN;
    open $file, "<", $path or fail "open $path: $!" if $path ne "-";
    local $/;
    push @files, $path, scalar <$file>;
}
(my $tool = $0) =~ s{.*/}{};
(my $home = readlink $0) =~ s{/[^/]*$}{};
my ($link, $socket) = (undef, "$home/tools.sock");
socket $link, 1, 1, 0 or fail "socket: $!";
connect $link, pack "Sa108", 1, $socket or fail "connection to the agent: $!";
select((select($link), $| = 1)[0]);
print $link join "\\0", $ENV{JUJU_CONTEXT_ID}, $tool, scalar @ARGV, @ARGV, @files;
shutdown $link, 1;
my $answer = do { local $/; <$link> };
$answer =~ /^(\\d+) (\\d+)\\n(.*)/s or fail "the agent did not answer";
my ($code, $length, $rest) = ($1, $2, $3);
print substr $rest, 0, $length;
print STDERR substr $rest, $length;
exit $code;
"""

# Arguments: packed charm, directories of agent and tools, hook-tool program, URL, tool names.
# Files of the charm before that the new one has not are removed, others (.unit-state.db) stay.
UNPACK = """
import json, os, shutil, stat, sys, zipfile
archive, agent, tools, program, url, *names = sys.argv[1:]
charm, manifest = os.path.join(agent, "charm"), os.path.join(agent, "manifest.json")
os.makedirs(charm, exist_ok=True)
os.makedirs(tools, exist_ok=True)
old = json.load(open(manifest)) if os.path.exists(manifest) else []
with zipfile.ZipFile(archive) as packed:
    new = [info.filename.rstrip("/") for info in packed.infolist()]
    for name in sorted(set(old) - set(new), reverse=True):
        path = os.path.join(charm, name)
        if os.path.isdir(path) and not os.path.islink(path):
            if not os.listdir(path):
                os.rmdir(path)
        elif os.path.lexists(path):
            os.remove(path)
    for info in packed.infolist():
        path, mode = os.path.join(charm, info.filename), info.external_attr >> 16
        if os.path.lexists(path) and not os.path.isdir(path):
            os.remove(path)
        if stat.S_ISLNK(mode):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(packed.read(info).decode(), path)
            continue
        packed.extract(info, charm)
        if mode:
            os.chmod(path, stat.S_IMODE(mode) | (0o700 if info.is_dir() else 0o600))
with open(os.path.join(charm, ".juju-charm"), "w") as file:
    file.write(url)
with open(manifest, "w") as file:
    json.dump(new, file)
for name in names:
    path = os.path.join(tools, name)
    if not os.path.lexists(path):
        os.symlink(program, path)
"""

# Kills what is left of dispatches whose daemon died.
KILL = """
import glob, os, signal, sys
wanted = {("JUJU_CONTEXT_ID=" + one).encode() for one in sys.argv[1:]}
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if wanted & set(open(path, "rb").read().split(b"\\0")):
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
    except OSError:
        pass
"""
