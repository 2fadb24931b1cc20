#!/usr/bin/env bash
# Prepares everything the compatibility tests run on, once: the Java name server, broker, mqadmin and clients from
# Maven, our Go client from the Go proxy, and a Debian base image from debootstrap. Nothing is pulled from a Docker
# registry. A second run finds its stamps and does nothing. Needs docker (a running daemon), java, mvn, go, debootstrap.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
clients=$here/../clients
cache=$(cd "$here/../.." && pwd)/target/compat
server_version=5.5.0
old_server_version=4.9.7
client_versions=(5.5.0 4.9.7)

suite=bookworm
packages=ca-certificates,iproute2,iptables,openjdk-17-jre-headless,procps
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

say() { printf 'compat: %s\n' "$*"; }

need() { # command, Debian package
    command -v "$1" >/dev/null || missing+=("$1 (Debian: apt-get install $2)")
}

check_tools() {
    missing=()
    need docker docker.io
    need javac openjdk-17-jdk-headless
    need jar openjdk-17-jdk-headless
    need mvn maven
    need go "golang, or https://go.dev/dl for 1.19 or later"
    need debootstrap debootstrap
    if ((${#missing[@]})); then
        printf 'compat: missing: %s\n' "${missing[@]}" >&2
        exit 1
    fi
    docker info >/dev/null 2>&1 || {
        say "no Docker daemon answers; start one (systemctl start docker, or dockerd)" >&2
        exit 1
    }
}

hash_of() { sha256sum | cut -c1-12; }
tree_hash() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs cat | hash_of); }

# Runs `$3…` unless the stamp of `$1` already says `$2`.
once() {
    local stamp=$cache/stamps/$1 wanted=$2
    shift 2
    if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
        rm -f "$stamp"
        "$@"
        mkdir -p "$cache/stamps"
        printf '%s' "$wanted" >"$stamp"
    fi
}

fetch_jars() { # pom, version, directory
    say "fetching ${1%.xml} jars $2 with Maven"
    rm -rf "${cache:?}/$3"
    # Maven writes its own target directory next to the pom, so it works on a copy.
    mkdir -p "$cache/maven"
    cp "$here/$1" "$cache/maven/$1"
    mvn --batch-mode --quiet --file "$cache/maven/$1" "-Drocketmq.version=$2" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies "-DoutputDirectory=$cache/$3"
}

compile_java() { # jar, class path, sources…
    say "compiling $1"
    local classes=$cache/classes/${1%.jar}
    rm -rf "$classes"
    mkdir -p "$classes" "$cache/java"
    javac --release 8 -Xlint:-options -Xlint:-deprecation -nowarn -cp "$2" -d "$classes" "${@:3}" 2> >(grep -v '^Note:' >&2)
    jar --create --file "$cache/java/$1" -C "$classes" .
}

build_go() {
    say "building the Go client"
    mkdir -p "$cache/go"
    (cd "$clients/go" && CGO_ENABLED=0 go build -trimpath -o "$cache/go/client" .)
}

build_image() { # tag
    say "building the Debian image with debootstrap (a minute or two)"
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now is meant
    trap "$sudo rm -rf '$root'" EXIT
    $sudo debootstrap --variant=minbase "--include=$packages" "$suite" "$root" "$mirror" >"$cache/debootstrap.log" 2>&1 || {
        tail -n 20 "$cache/debootstrap.log" >&2
        exit 1
    }
    $sudo rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
    $sudo tar -C "$root" -c . | docker import - "$1" >/dev/null
    $sudo rm -rf "$root"
    trap - EXIT
}

archive_classes() { # image
    say "archiving loaded classes for quick JVM starts"
    rm -rf "$cache/cds"
    mkdir -p "$cache/cds"
    docker run --rm --user "$(id -u):$(id -g)" --volume "$cache:$cache" --volume "$here/archive.sh:/archive.sh:ro" "$1" \
        /archive.sh "$cache" "$server_version" "${client_versions[@]}"
}

main() {
    check_tools
    sudo=
    ((EUID == 0)) || sudo=sudo
    mkdir -p "$cache"

    once server-jars "$server_version $(hash_of <"$here/server.xml")" fetch_jars server.xml "$server_version" "jars/server-$server_version"
    once old-server-jars "$old_server_version $(hash_of <"$here/server.xml")" \
        fetch_jars server.xml "$old_server_version" "jars/server-$old_server_version"
    for version in "${client_versions[@]}"; do
        once "client-jars-$version" "$version $(hash_of <"$here/client.xml")" fetch_jars client.xml "$version" "jars/client-$version"
        once "client-java-$version" "$(tree_hash "$clients/java")" \
            compile_java "client-$version.jar" "$cache/jars/client-$version/*" "$clients"/java/ferromq/*.java
    done
    once mqadmin "$server_version $(tree_hash "$clients/mqadmin") $(tree_hash "$clients/java")" \
        compile_java mqadmin.jar "$cache/jars/server-$server_version/*" \
        "$clients"/java/ferromq/{Event,Events}.java "$clients"/mqadmin/ferromq/Admin.java
    once client-go "$(tree_hash "$clients/go") $(go version)" build_go

    local image
    image=ferromq-compat:$(printf '%s %s' "$suite" "$packages" | hash_of)
    docker image inspect "$image" >/dev/null 2>&1 || build_image "$image"
    # An archive holds the paths of its jars: a copy of the cache needs archives of its own.
    once cds "$cache $(cat "$cache"/stamps/{server,client,mqadmin}* "$here/archive.sh" | hash_of) $(docker image inspect --format '{{.Id}}' "$image")" \
        archive_classes "$image"
    printf '%s\n' "$image" >"$cache/image"
    say "ready: $cache"
}

main
