// SPDX-License-Identifier: GPL-3.0-or-later
// doctor: machine, devices and their self-test, experiment store.
#include <algorithm>

#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/inference/backend.h"
#include "core/inference/device_check.h"
#include "core/machine.h"

namespace bitloom::cli {
namespace {

Json toJson(const DeviceInfo& info) {
  return {{"name", info.name},
          {"uuid", info.uuid},
          {"kind", vulkan::kindName(info.kind)},
          {"driver", info.driver},
          {"api", vulkan::versionText(info.apiVersion)},
          {"memory_bytes", info.memoryBytes},
          {"free_bytes", info.freeBytes},
          {"storage_range_bytes", info.storageRange},
          {"shared_bytes", info.sharedBytes},
          {"subgroup_size", info.subgroupSize},
          {"features",
           {{"subgroup_ballot", info.subgroupBallot},
            {"timeline_semaphores", info.timeline},
            {"memory_budget", info.memoryBudget},
            {"float16", info.float16},
            {"int8", info.int8},
            {"storage16", info.storage16},
            {"storage8", info.storage8},
            {"integer_dot", info.integerDot},
            {"subgroup_size_control", info.subgroupControl}}}};
}

Json devicesJson() {
  Json result = {{"devices", Json::array()}, {"off", nullptr}};
  const auto devices = listDevices();
  if (!devices) {
    result["off"] = devices.error().message;
    return result;
  }
  for (const DeviceInfo& info : *devices) result["devices"].push_back(toJson(info));
  return result;
}

std::string devicesText(const Json& vulkan) {
  if (!vulkan["off"].is_null()) return strCat("vulkan   ", std::string(vulkan["off"]), "\n");
  std::string text;
  for (size_t i = 0; i < vulkan["devices"].size(); ++i) {
    const Json& device = vulkan["devices"][i];
    std::string features;
    for (const auto& [name, has] : device["features"].items()) {
      if (has) features += (features.empty() ? "" : ", ") + name;
    }
    text +=
        strCat("vulkan ", i, " ", std::string(device["name"]), ", ", std::string(device["kind"]),
               ", Vulkan ", std::string(device["api"]), ", ", std::string(device["driver"]),
               "\n         ", binarySize(uint64_t(device["free_bytes"])), " free of ",
               binarySize(uint64_t(device["memory_bytes"])), ", bindings of ",
               binarySize(uint64_t(device["storage_range_bytes"])), ", subgroups of ",
               uint32_t(device["subgroup_size"]), "; ",
               features.empty() ? std::string("no optional features") : features, "\n");
  }
  return text;
}

// The self-test of the device that was asked for: an error names what does not hold.
Result<void> testDevice(Console& console, Json& result, std::string& text) {
  Backend& backend = *console.arithmetic().backend;
  TRY(const auto checks,
      console.run<std::vector<DeviceCheck>>("Self-test", JobPriority::Chat, [&](JobContext& job) {
        return checkDevice(backend, {}, job);
      }));
  std::string failed;
  double worst = 0;
  for (const DeviceCheck& check : checks) {
    result["self_test"].push_back({{"kernel", check.kernel},
                                   {"error", check.error},
                                   {"bound", check.bound},
                                   {"holds", check.holds()}});
    if (!check.holds()) failed += (failed.empty() ? "" : "; ") + check.kernel;
    worst = std::max(worst, check.error);
  }
  if (!failed.empty()) {
    return makeError(ErrorCode::Device, backend.device().name,
                     " computes wrongly and should not be used: ", failed, ".");
  }
  TRY(const DeviceSpeed speed, backend.measureSpeed());
  result["speed"] = {{"read_bytes_per_second", speed.readBytes},
                     {"multiply_adds_per_second", speed.products}};
  text += strCat("         self-test of ", backend.device().name, ": ", checks.size(),
                 " kernels agree with the CPU, the worst to ", significant(worst, 2), "\n",
                 "         reads f16 weights at ", significant(speed.readBytes / 1e9, 3),
                 " GB/s for a token, multiplies at ", significant(2 * speed.products / 1e9, 3),
                 " GFLOP/s for many\n");
  return {};
}

}  // namespace

Verb addDoctor(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand(
      "doctor", "Check machine, devices and experiment store; --backend vulkan tests a device");
  return {verb, [&console]() -> Result<void> {
            const Machine machine = inspectMachine();
            TRY(auto store, console.openStore());
            TRY(auto runs, store.runs());
            Json result = {{"version", BITLOOM_VERSION},
                           {"cpu", machine.cpu},
                           {"target", machine.target},
                           {"cores", machine.cores},
                           {"memory_bytes", machine.memoryBytes},
                           {"available_bytes", machine.availableBytes},
                           {"store", store.path().string()},
                           {"runs", runs.size()},
                           {"vulkan", devicesJson()}};
            std::string text =
                strCat("Bitloom ", BITLOOM_VERSION, "\n", "cpu      ", machine.cpu, ", ",
                       machine.cores, " cores, kernels for ", machine.target, "\nmemory   ",
                       binarySize(machine.availableBytes), " free of ",
                       binarySize(machine.memoryBytes), "\nstore    ", store.path().string(), ", ",
                       runs.size(), " runs, intact\n", devicesText(result["vulkan"]));
            if (console.arithmetic().backend) {
              TRY(testDevice(console, result, text));
            }
            console.print(result, text);
            return {};
          }};
}

}  // namespace bitloom::cli
