# SPDX-License-Identifier: GPL-2.0-only
# Configuring and building kernels out of tree.
# shellcheck shell=bash disable=SC2034,SC2154 # shared with the scripts that source this

declare -A kbuild_arch=([arm64]=arm64 [x86]=x86_64)
declare -A kbuild_image=([arm64]=arch/arm64/boot/Image [x86]=arch/x86/boot/bzImage)
declare -A kbuild_cross=([arm64]=aarch64-linux-gnu- [x86]="")

# Checkouts share objects. All source trees lie at ../../tree of their build folders,
# so that the paths are the same too. An object that is not in the cache is
# preprocessed once (by the compiler), not twice: with an empty cache that is a
# quarter of the work.
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$cache CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1

# kbuild ARCH SOURCE OUTPUT MAKE-ARGUMENTS...
kbuild() {
	make -j"$jobs" -C "$2" O="$3" abs_srctree="$2" ARCH="${kbuild_arch[$1]}" CROSS_COMPILE="${kbuild_cross[$1]}" \
		CC="ccache ${kbuild_cross[$1]}gcc" KCFLAGS=-fmacro-prefix-map=../../tree/= \
		KBUILD_BUILD_TIMESTAMP=1970-01-01 KBUILD_BUILD_USER=nobody KBUILD_BUILD_HOST=nowhere \
		KBUILD_BUILD_VERSION=1 "${@:4}"
}

# What the fragments ask for; of an option that several name, the last one's wish.
config_wishes() {
	awk -F '[ =]' '/^CONFIG_/ { wish[$1] = $0 } /^# CONFIG_.* is not set$/ { wish[$2] = $0 }
		END { for (option in wish) print option, wish[option] }' "$@"
}

# Wishes that the configuration does not honour. The queue adds options: what
# the source does not know (yet) cannot be honoured.
config_misses() {
	local source=$1 config=$2 line option
	shift 2
	config_wishes "$@" | while read -r option line; do
		case $line in
		"# "*) grep -q "^$option=" "$config" || continue ;;
		*) grep -qxF "$line" "$config" && continue ;;
		esac
		if grep -rqxE --include='Kconfig*' "(menu)?config ${option#CONFIG_}" "$source"; then
			echo "$line"
		else
			echo "note: this source has no $option" >&2
		fi
	done
}

# configure ARCH SOURCE OUTPUT FRAGMENT...: what the fragments ask for, all else off
configure() {
	local arch=$1 source=$2 output=$3 misses
	shift 3
	mkdir -p "$output" &&
		config_wishes "$@" | cut -d ' ' -f 2- >"$output/wishes" &&
		kbuild "$arch" "$source" "$output" KCONFIG_ALLCONFIG=wishes allnoconfig || return
	misses=$(config_misses "$source" "$output/.config" "$@")
	[ -z "$misses" ] || { printf 'not honoured:\n%s\n' "$misses"; return 1; }
}
