"""The target of a library: the compiler's flags, the CPU, the suffix of the file."""

from __future__ import annotations

import platform
import struct
import subprocess
import sys
from contextlib import suppress
from functools import cache

__all__ = ["FLAGS", "LIBRARIES", "NATIVE", "SUFFIX", "cpu_features", "instructions", "target"]

#: For this machine's CPU. Omitted where the compiler or its assembler rejects it. On x86 -mcpu is
#: an old name of -mtune; elsewhere it is the option that gcc, clang and Apple's compiler all know.
NATIVE = (
    "-march=native"
    if platform.machine().lower() in ("x86_64", "amd64", "i386", "i686", "x86")
    else "-mcpu=native"
)

#: Fused multiply-adds round once instead of twice. No flag lets the compiler assume that there
#: are no NaNs or infinities, or reorder a sum.
FLAGS: tuple[str, ...] = (
    "-O3",
    NATIVE,
    *(() if sys.platform == "win32" else ("-fPIC",)),
    "-shared",
    "-std=c11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)

#: After the source: the linker takes from a library only what the files before it need.
LIBRARIES: tuple[str, ...] = ("-lm",)

#: The suffix of a library's file.
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")

#: Flags that Linux lists for an x86 processor and that name no instruction: its clock, that it is
#: virtual, protections against attacks. They differ between machines that run the same code.
_NO_INSTRUCTIONS = """acpi aperfmperf
    arat arch_capabilities arch_perfmon art bts constant_tsc cpb cpuid
    cpuid_fault decodeassists dtherm dts epb ept ept_ad est extd_apicid flexpriority flush_l1d
    flushbyasid hfi ht hw_pstate hwp hwp_act_window hwp_epp hwp_pkg_req hypervisor ibpb ibrs
    ibrs_enhanced ida intel_ppin lbrv md_clear monitor mwaitx nonstop_tsc npt nrip_save
    overflow_recov pausefilter pebs perfctr_core perfctr_llc perfctr_nb pfthreshold pge pln
    pti pts rep_good retpoline smca ssbd stibp succor svm svm_lock tm tm2 tpr_shadow
    tsc_adjust tsc_deadline_timer tsc_known_freq tsc_reliable tsc_scale v_vmsave_vmload vgif
    vmcb_clean vme vmmcall vmx vnmi vpid x2apic xtopology xtpr"""


@cache
def cpu_features() -> str:
    """Return the features that a library for this machine's CPU may use, as text."""
    machine = f"{sys.platform} {platform.machine()}"
    features = _sysctl_features() if sys.platform == "darwin" else _proc_features()
    return f"{machine} {features}".strip()


@cache
def instructions() -> frozenset[str]:
    """Return the features that compilers use: a library runs on any CPU with all of its own."""
    if sys.platform == "linux":
        return frozenset(cpu_features().split()).difference(_NO_INSTRUCTIONS.split())
    # macOS has a line for each feature that says whether the CPU has it.
    return frozenset(line.strip() for line in cpu_features().splitlines())


@cache
def target() -> tuple[str, ...]:
    """Return all that a library depends on besides source, compiler and CPU; torch is not part."""
    from ... import __version__  # the package is not yet complete when this file is imported

    machine = (sys.platform, platform.machine(), str(struct.calcsize("P")))
    return (__version__, *machine, *FLAGS, *LIBRARIES)


def _proc_features() -> str:
    """Return the first core's features: Linux shows only those that all cores have."""
    if sys.platform == "win32":
        return platform.processor()  # family, model and stepping
    names = ("flags", "Features", "isa", "cpu")  # x86, Arm, RISC-V, POWER
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in names:
                return " ".join(sorted(value.split()))
    return ""


def _sysctl_features() -> str:
    command = ["/usr/sbin/sysctl", "hw.optional", "machdep.cpu.brand_string"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout
    return ""
