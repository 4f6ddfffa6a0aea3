// SPDX-License-Identifier: GPL-3.0-or-later
// The devices that compute beside the CPU, and which of them measures: live loop, scans and proofs.
// Lives on the window's thread.
#pragma once
#include <QObject>
#include <QString>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ui/job_device.h"

namespace bitloom {

class JobList;

QString deviceName(const DeviceInfo& device);      // without what its driver adds in brackets
QString describeDevice(const DeviceInfo& device);  // lines for a tooltip

class Devices : public QObject {
  Q_OBJECT

 public:
  explicit Devices(JobList& jobs, QObject* parent = nullptr);

  // Looks for them in the background, once; `found` follows, also when there are none.
  void find();
  bool isFound() const { return m_isFound; }
  const std::vector<DeviceInfo>& all() const { return m_all; }
  QString problem() const { return m_problem; }  // why there are none
  const std::shared_ptr<Backends>& backends() const { return m_backends; }

  // Which one measures, by UUID; empty, as at first: the CPU. Remembered. Chosen again after it
  // failed, it is tried again.
  void choose(const QString& uuid);
  QString chosen() const { return m_chosen; }
  QString chosenName() const { return m_chosenName; }  // empty: the CPU
  const DeviceInfo* chosenInfo() const;                // null: the CPU, or not there

  // For jobs that measure, and what they say about it.
  JobDevice forJob() const;
  void report(const DeviceUse& use);
  // Of the latest measurement; as chosen until there is one.
  const DeviceUse& use() const { return m_use; }

  // How a device is opened, on a job's thread; by `backends` unless replaced.
  using Opener = std::function<Result<std::shared_ptr<Backend>>(const std::string& uuid)>;
  void setOpener(Opener open) { m_open = std::move(open); }

 signals:
  void found();
  void chosenChanged();
  void useChanged();
  void failed(const QString& message);  // the CPU measures in place of the one that was chosen

 private:
  JobList& m_jobs;
  std::shared_ptr<Backends> m_backends = std::make_shared<Backends>();
  Opener m_open;
  std::vector<DeviceInfo> m_all;
  QString m_problem;
  bool m_isLooking = false;
  bool m_isFound = false;
  QString m_chosen;
  QString m_chosenName;
  DeviceUse m_use;
};

}  // namespace bitloom
