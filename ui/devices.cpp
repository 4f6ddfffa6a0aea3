// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/devices.h"

#include <algorithm>
#include <utility>

#include "ui/format.h"
#include "ui/jobs/job_list.h"
#include "ui/settings.h"

namespace bitloom {
namespace {

constexpr const char* kChosenKey = "device/uuid";
constexpr const char* kNameKey = "device/name";

DeviceUse unusedYet(const QString& uuid) {
  return {.device = uuid.toStdString(), .onDevice = !uuid.isEmpty()};
}

}  // namespace

QString deviceName(const DeviceInfo& device) {
  return QString::fromStdString(device.name).section(" (", 0, 0);
}

QString describeDevice(const DeviceInfo& device) {
  return Devices::tr("%1\n%2 device · %3 of memory\n%4")
      .arg(QString::fromStdString(device.name), QString::fromUtf8(vulkan::kindName(device.kind)),
           formatGB(device.memoryBytes), QString::fromStdString(device.driver));
}

Devices::Devices(JobList& jobs, QObject* parent) : QObject(parent), m_jobs(jobs) {
  const Settings settings;
  m_chosen = settings.value(kChosenKey).toString();
  m_chosenName = settings.value(kNameKey).toString();
  m_use = unusedYet(m_chosen);
  m_open = [backends = m_backends](const std::string& uuid) { return backends->open(uuid); };
}

void Devices::find() {
  if (std::exchange(m_isLooking, true)) return;
  using List = std::vector<DeviceInfo>;
  m_jobs.start<List>(
      tr("Look for devices"), JobPriority::Probe, this, [](JobContext&) { return listDevices(); },
      [this](Result<List> list) {
        m_isFound = true;
        if (list) {
          m_all = std::move(*list);
        } else {
          m_problem = QString::fromStdString(list.error().message);
        }
        emit found();
      },
      true);
}

const DeviceInfo* Devices::chosenInfo() const {
  const auto at = std::find_if(m_all.begin(), m_all.end(), [this](const DeviceInfo& device) {
    return device.uuid == m_chosen.toStdString();
  });
  return at == m_all.end() ? nullptr : &*at;
}

void Devices::choose(const QString& uuid) {
  if (uuid == m_chosen && m_use.note.empty()) return;
  m_chosen = uuid;
  if (const DeviceInfo* device = chosenInfo()) {
    m_chosenName = deviceName(*device);
  } else if (uuid.isEmpty()) {
    m_chosenName.clear();
  }
  Settings settings;
  settings.setValue(kChosenKey, m_chosen);
  settings.setValue(kNameKey, m_chosenName);
  m_use = unusedYet(m_chosen);
  emit chosenChanged();
}

JobDevice Devices::forJob() const {
  if (m_chosen.isEmpty()) return {};
  const std::string uuid = m_chosen.toStdString();
  const auto open = [opener = m_open, uuid,
                     name = m_chosenName.toStdString()]() -> Result<std::shared_ptr<Backend>> {
    auto backend = opener(uuid);
    if (backend || backend.error().code != ErrorCode::NotFound) return backend;
    return makeError(ErrorCode::NotFound, name, " is not there.");  // a UUID says nothing to people
  };
  return JobDevice(uuid, open);
}

void Devices::report(const DeviceUse& use) {
  if (use.device != m_chosen.toStdString()) return;  // another one was chosen meanwhile
  const bool isNew = use.note != m_use.note;
  m_use = use;
  emit useChanged();
  if (isNew && !use.onDevice && !use.note.empty()) emit failed(QString::fromStdString(use.note));
}

}  // namespace bitloom
