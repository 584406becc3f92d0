/* A stand-in for NVIDIA's management library: two GPUs (or $NVML_STUB_GPUS, at most 8), of which all but the first work for the process
   whose command line contains $NVML_STUB_PROCESS. GPU 0 takes 50 W; others take 300 W, and what they do not report is not there (no ECC,
   no PCIe throughput). NVLink joins 0 with 2, 1 with 3, 4 with 6 and 5 with 7. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };

typedef struct gpu { unsigned index, milliwatts; } gpu;
static gpu gpus[8] = {{0, 50000}, {1, 300000}, {2, 300000}, {3, 300000}, {4, 300000}, {5, 300000}, {6, 300000}, {7, 300000}};

static unsigned gpu_count(void) { return getenv("NVML_STUB_GPUS") ? atoi(getenv("NVML_STUB_GPUS")) : 2; }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = gpu_count(); return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **device) {
    if (index >= gpu_count()) return INVALID_ARGUMENT;
    *device = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(gpu *device, unsigned *milliwatts) { *milliwatts = device->milliwatts; return SUCCESS; }

int nvmlDeviceGetTotalEnergyConsumption(gpu *device, unsigned long long *millijoules) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoules = (unsigned long long)((now.tv_sec + now.tv_nsec / 1e9) * device->milliwatts);
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(gpu *device, unsigned rates[2]) {
    rates[0] = device->index ? 90 : 0;
    rates[1] = 40;
    return SUCCESS;
}

typedef struct memory { unsigned version; unsigned long long total, reserved, free, used; } memory;

int nvmlDeviceGetMemoryInfo_v2(gpu *device, memory *memory) {
    memory->total = 80ull << 30;
    memory->used = device->index ? 60ull << 30 : 1ull << 30;
    memory->free = memory->total - memory->used;
    memory->reserved = 0;
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(gpu *device, int clock, unsigned *mhz) {
    *mhz = clock == 1 ? device->index ? 1380 : 1980 : 2619;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(gpu *device, int sensor, unsigned *celsius) { *celsius = 65; return SUCCESS; }

int nvmlDeviceGetUUID(gpu *device, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-%u", device->index);
    return SUCCESS;
}

typedef struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char name[32]; } pci;

static void at(unsigned index, pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = index + 1;
    snprintf(pci->name, sizeof pci->name, "00000000:%02X:00.0", index + 1);
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", index + 1);
}

int nvmlDeviceGetPciInfo_v3(gpu *device, pci *pci) { at(device->index, pci); return SUCCESS; }

int nvmlDeviceGetNvLinkState(gpu *device, unsigned link, unsigned *is_active) {
    if (link > 0) return INVALID_ARGUMENT;
    *is_active = 1;
    return SUCCESS;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(gpu *device, unsigned link, pci *pci) { at(device->index ^ 2, pci); return SUCCESS; }

/* All on one socket. */
int nvmlDeviceGetTopologyCommonAncestor(gpu *one, gpu *other, int *level) { *level = 40; return SUCCESS; }

/* Software power cap. */
int nvmlDeviceGetCurrentClocksThrottleReasons(gpu *device, unsigned long long *reasons) {
    *reasons = device->index ? 4 : 1;
    return SUCCESS;
}

int nvmlDeviceGetPcieThroughput(gpu *device, int counter, unsigned *kilobytes) { return NOT_SUPPORTED; }

typedef struct process { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process;

int nvmlDeviceGetComputeRunningProcesses_v3(gpu *device, unsigned *count, process *found) {
    const char *wanted = getenv("NVML_STUB_PROCESS");
    unsigned room = *count, seen = 0;
    DIR *all = opendir("/proc");
    for (struct dirent *entry; wanted && device->index && all && (entry = readdir(all));) {
        char path[300], line[8192];
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *file = atoi(entry->d_name) ? fopen(path, "r") : NULL;
        size_t length = file ? fread(line, 1, sizeof line - 1, file) : 0;
        if (file) fclose(file);
        for (size_t at = 0; at < length; at++) if (!line[at]) line[at] = ' ';
        line[length] = 0;
        if (!length || strncmp(line, wanted, strlen(wanted))) continue;
        if (found && seen < room) found[seen] = (process){atoi(entry->d_name), 1, 0, 0};
        seen++;
    }
    if (all) closedir(all);
    *count = seen;
    return seen > room ? INSUFFICIENT_SIZE : SUCCESS;
}
