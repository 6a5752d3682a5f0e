/*
 * Makes a process believe that its processor has AVX2 and no AVX-512, thus 16 vector registers, and Mesa's
 * software drivers compile for a Zen 3. It hides the features from the instruction CPUID, which Linux lets an
 * Intel processor trap; caches, decoders and clock stay the real processor's.
 *
 *     gcc -O2 -shared -fPIC -o avx2.so bench/avx2.c
 *     XDG_CACHE_HOME=$(mktemp -d) LD_PRELOAD=$PWD/avx2.so npm run bench -- --filter matmul
 *
 * The folder of its own keeps compiled shaders and `dawngrad tune`'s choices apart.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012 };

static struct sigaction next;
static int (*set_action)(int, const struct sigaction *, struct sigaction *);

static long allow_cpuid(int allowed) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed); }

static void on_fault(int signal, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)registers[REG_RIP];
  if (info->si_code == SI_KERNEL && code[0] == 0x0f && code[1] == 0xa2) {
    unsigned leaf = registers[REG_RAX], part = registers[REG_RCX], a, b, c, d;
    allow_cpuid(1);
    __cpuid_count(leaf, part, a, b, c, d);
    allow_cpuid(0);
    if (leaf == 7 && part == 0) b &= ~0xdc230000u, c &= ~0x5842u, d &= ~0x80010cu;
    if (leaf == 7 && part == 1) a &= ~0x20u;
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
  } else if (next.sa_flags & SA_SIGINFO) {
    next.sa_sigaction(signal, info, context);
  } else {
    set_action(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
  }
}

/* Node sets a handler of its own, which then gets the other faults. */
int sigaction(int signal, const struct sigaction *action, struct sigaction *old) {
  if (set_action == NULL) set_action = dlsym(RTLD_NEXT, "sigaction");
  if (signal != SIGSEGV) return set_action(signal, action, old);
  if (old != NULL) *old = next;
  if (action != NULL) next = *action;
  return 0;
}

__attribute__((constructor)) static void hide(void) {
  if (set_action == NULL) set_action = dlsym(RTLD_NEXT, "sigaction");
  set_action(SIGSEGV, &(struct sigaction){.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, NULL);
  if (allow_cpuid(0) == 0) return;
  fputs("avx2.so: this processor or kernel cannot trap CPUID\n", stderr);
  exit(1);
}

/* llvm::sys::getHostCPUName, which gives a StringRef: decides how LLVM schedules. */
struct text { const char *data; size_t size; };
struct text _ZN4llvm3sys14getHostCPUNameEv(void) { return (struct text){"znver3", 6}; }
