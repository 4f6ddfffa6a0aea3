// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/backend_badge.h"

#include <unistd.h>

#include <QActionGroup>
#include <QFile>
#include <QHBoxLayout>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>

#include "core/machine.h"
#include "ui/devices.h"
#include "ui/format.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

constexpr int kMemoryInterval = 2000;  // ms
constexpr int kLongest = 26;           // average characters of a name
constexpr int kInset = 5;              // of the button's text: its border and padding

const Machine& machine() {
  static const Machine known = inspectMachine();
  return known;
}

QString cpuTitle() {
  const std::string& target = machine().target;
  const QString title = target == "avx512" ? "AVX-512"
                        : target == "avx2" ? "AVX2"
                                           : QString::fromStdString(target);
  return BackendBadge::tr("CPU · %1").arg(title);
}

QString describeCpu() {
  return BackendBadge::tr("%1, %n core(s)", nullptr, machine().cores)
      .arg(QString::fromStdString(machine().cpu));
}

uint64_t residentBytes() {
  QFile file("/proc/self/statm");
  if (!file.open(QIODevice::ReadOnly)) return 0;
  const QList<QByteArray> fields = file.readAll().split(' ');
  return fields.size() < 2 ? 0 : fields[1].toULongLong() * uint64_t(::sysconf(_SC_PAGESIZE));
}

}  // namespace

BackendBadge::BackendBadge(Devices& devices, QWidget* parent)
    : QWidget(parent),
      m_devices(devices),
      m_dot(makeLabel("●", "good", this)),
      m_choice(makeButton({}, "backendButton", Rank::Plain, this)),
      m_below(makeLabel({}, "faint", this)) {
  setObjectName("backendBadge");
  m_dot->setObjectName("backendDotLabel");
  m_below->setObjectName("backendNoteLabel");
  m_below->setContentsMargins(kInset, 0, 0, 0);
  m_choice->setProperty("badge", true);
  auto* column = new QVBoxLayout;
  column->setSpacing(1);
  column->addWidget(m_choice, 0, Qt::AlignLeft);
  column->addWidget(m_below);
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(10 - kInset);
  row->addWidget(m_dot, 0, Qt::AlignVCenter);
  row->addLayout(column);
  connect(m_choice, &QPushButton::clicked, this, &BackendBadge::openMenu);
  connect(&devices, &Devices::found, this, &BackendBadge::refresh);
  connect(&devices, &Devices::chosenChanged, this, &BackendBadge::refresh);
  connect(&devices, &Devices::useChanged, this, &BackendBadge::refresh);
  connect(&m_timer, &QTimer::timeout, this, &BackendBadge::showMemory);
  m_timer.start(kMemoryInterval);
  refresh();
}

void BackendBadge::showEvent(QShowEvent* event) {
  QWidget::showEvent(event);
  m_devices.find();
}

bool BackendBadge::onCpu() const { return !m_devices.use().onDevice; }

void BackendBadge::refresh() {
  const QString name = onCpu() ? cpuTitle() : m_devices.chosenName();
  const int longest = fontMetrics().averageCharWidth() * kLongest;
  const QString shown = fontMetrics().elidedText(name, Qt::ElideRight, longest);
  m_choice->setText(tr("%1 ▾").arg(QString(shown).replace("&", "&&")));
  m_choice->setToolTip(tooltip());
  const QString note = QString::fromStdString(m_devices.use().note);
  m_choice->setAccessibleName(tr("Measures on %1").arg(name));
  m_choice->setAccessibleDescription(note);
  m_dot->setAccessibleName(note.isEmpty() ? tr("Backend is ready") : note);
  setTone(m_dot, note.isEmpty() ? "good" : "warn");
  setTone(m_below, note.isEmpty() ? "faint" : "warn");
  if (note.isEmpty()) return showMemory();
  const QString instead = tr("in place of %1").arg(m_devices.chosenName());
  m_below->setText(onCpu() ? fontMetrics().elidedText(instead, Qt::ElideRight, longest)
                           : tr("partly on the CPU"));
  m_below->setToolTip(note);
}

QString BackendBadge::tooltip() const {
  const DeviceUse& use = m_devices.use();
  const DeviceInfo* device = m_devices.chosenInfo();
  QStringList lines;
  if (onCpu()) {
    lines << describeCpu();
  } else {
    lines << (device != nullptr ? describeDevice(*device) : m_devices.chosenName());
    if (use.limitBytes > 0) {
      lines << tr("%1 of %2 in use").arg(formatGB(use.usedBytes), formatGB(use.limitBytes));
    }
    lines << tr("All arithmetic in f32, from weights that stay encoded.");
  }
  if (!use.note.empty()) lines << QString::fromStdString(use.note);
  if (!use.note.empty() && onCpu()) lines << tr("Chosen again, the device is tried again.");
  lines << QString();
  lines << tr("Drags, scans and proofs are measured here. Click to choose another device.");
  if (!m_devices.problem().isEmpty()) lines << m_devices.problem();
  return lines.join('\n');
}

void BackendBadge::showMemory() {
  const DeviceUse& use = m_devices.use();
  if (!use.note.empty()) return;
  if (onCpu()) {
    m_below->setText(
        tr("%1 of %2").arg(formatGB(residentBytes()), formatGB(machine().memoryBytes)));
    m_below->setToolTip(tr("Memory that Bitloom uses, mapped model included"));
  } else if (use.limitBytes == 0) {
    m_below->setText(tr("not used yet"));
    m_below->setToolTip(QString());
  } else {
    m_below->setText(tr("%1 of %2").arg(formatGB(use.usedBytes), formatGB(use.limitBytes)));
    m_below->setToolTip(tr("Memory of the device that Bitloom uses, of what is free for it"));
  }
}

// Stays open while devices are found.
void BackendBadge::openMenu() {
  auto* menu = new QMenu(this);
  menu->setAttribute(Qt::WA_DeleteOnClose);
  menu->setObjectName("backendMenu");
  menu->setToolTipsVisible(true);
  fillMenu(menu);
  connect(&m_devices, &Devices::found, menu, [this, menu] { fillMenu(menu); });
  const int left = m_choice->width() - menu->sizeHint().width();
  menu->popup(m_choice->mapToGlobal(QPoint(std::min(0, left), m_choice->height())));
  m_devices.find();
}

void BackendBadge::fillMenu(QMenu* menu) {
  menu->clear();
  menu->addAction(tr("Measure drags, scans and proofs on"))->setEnabled(false);
  auto* group = new QActionGroup(menu);
  const auto add = [&](const QString& title, const QString& tooltip, const QString& uuid) {
    QAction* action = group->addAction(QString(title).replace("&", "&&"));
    action->setCheckable(true);
    action->setChecked(uuid == m_devices.chosen());
    action->setToolTip(tooltip);
    menu->addAction(action);
    connect(action, &QAction::triggered, this, [this, uuid] { m_devices.choose(uuid); });
  };
  add(cpuTitle(), describeCpu(), {});
  for (const DeviceInfo& device : m_devices.all()) {
    add(tr("Vulkan · %1").arg(deviceName(device)), describeDevice(device),
        QString::fromStdString(device.uuid));
  }
  if (m_devices.isFound() && m_devices.problem().isEmpty()) return;
  menu->addAction(m_devices.isFound() ? m_devices.problem() : tr("Looking for devices…"))
      ->setEnabled(false);
}

}  // namespace bitloom
