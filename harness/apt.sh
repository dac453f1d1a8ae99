# SPDX-License-Identifier: GPL-2.0-only
# apt with private sources and lists: the machine's own stay as they are.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

apt_dir=$cache/apt
apt_options=(
	-o Dir::Etc::sourcelist=/dev/null
	-o Dir::Etc::sourceparts="$apt_dir/sources"
	-o Dir::State::lists="$apt_dir/lists"
	-o Dir::Cache="$apt_dir/cache"
	-o APT::Sandbox::User=root
)
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# Debian 12's own QEMU is too old, and its archive has Linux 6.12 only as an update.
backports=
[ "$codename" != bookworm ] || backports=bookworm-backports

apt_update() {
	logged apt-update "look at the machine's apt sources" \
		apt-get "${apt_options[@]}" update
}

# Where the machine gets Debian's own packages from.
debian_uri() {
	# shellcheck disable=SC2016 # apt's variables
	apt-get "${apt_options[@]}" indextargets \
		--format '$(ORIGIN) $(RELEASE) $(COMPONENT) $(REPO_URI)' |
		awk -v release="$codename" \
			'$1 == "Debian" && $2 == release && $3 == "main" { print $4; exit }'
}

# The machine's sources, and beside them backports from the same archive.
apt_prepare() {
	local uri
	mkdir -p "$apt_dir"/{sources,lists/partial,cache/archives/partial}
	rm -f "$apt_dir"/sources/*
	[ ! -f /etc/apt/sources.list ] ||
		cp /etc/apt/sources.list "$apt_dir/sources/machine.list"
	find /etc/apt/sources.list.d \( -name '*.list' -o -name '*.sources' \) \
		-exec cp -t "$apt_dir/sources" {} +
	apt_update
	[ -n "$backports" ] || return 0
	uri=$(debian_uri)
	[ -n "$uri" ] || die "no Debian $codename archive among the machine's apt sources" \
		"add it, or install QEMU 9.1 or newer and linux-source-6.12 by hand"
	cat >"$apt_dir/sources/backports.sources" <<-EOF
		Types: deb
		URIs: $uri
		Suites: $backports
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	EOF
	apt_update
}

# After apt_prepare: source packages too, of the suite that QEMU is installed from.
source_suite=${backports:-$codename}
apt_prepare_source() {
	local uri
	uri=$(debian_uri)
	[ -n "$uri" ] || die "no Debian $codename archive among the machine's apt sources" "add it"
	cat >"$apt_dir/sources/source.sources" <<-EOF
		Types: deb-src
		URIs: $uri
		Suites: $source_suite
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	EOF
	apt_update
}
