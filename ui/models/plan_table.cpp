// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/plan_table.h"

#include <QLocale>
#include <cmath>
#include <limits>

#include "ui/format.h"
#include "ui/models/loom_grid.h"

namespace bitloom {
namespace {

QString text(std::string_view view) {
  return QString::fromUtf8(view.data(), qsizetype(view.size()));
}

// Equality in which an unknown damage equals an unknown damage.
bool sameRow(PlanRow a, PlanRow b) {
  if (std::isnan(a.damage) && std::isnan(b.damage)) a.damage = b.damage = 0;
  return a == b;
}

}  // namespace

std::vector<PlanRow> planRows(const Model& model, const Plan& plan, const LoomGrid& grid,
                              const Sensitivity& cells) {
  std::vector<PlanRow> rows;
  for (const size_t index : grid.tensors()) {
    if (index >= plan.tensors.size()) continue;
    const Tensor& tensor = model.tensors()[index];
    const Choice& choice = plan.tensors[index];
    PlanRow row;
    row.tensor = index;
    row.name = QString::fromStdString(tensor.name);
    row.requested = choice.requested ? text(choice.requested->name) : text(tensor.type);
    row.effective = choice.effective ? text(choice.effective->name) : text(tensor.type);
    row.why = QString::fromStdString(choice.reason);
    row.bytes = choice.bytes;
    row.pinned = choice.pinned;
    row.fellBack = choice.requested != choice.effective;
    if (choice.effective) {
      const Cell* cell = cells.find(tensor.name, choice.effective->name);
      const bool same = choice.effective == tensor.codec;  // its own type: nothing is lost
      row.damage = cell ? cell->value : same ? 0 : std::numeric_limits<double>::quiet_NaN();
      row.error = cell ? cell->error : 0;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

void PlanTable::setRows(std::vector<PlanRow> rows) {
  bool sameTensors = rows.size() == m_rows.size();
  for (size_t i = 0; sameTensors && i < rows.size(); ++i) {
    sameTensors = rows[i].tensor == m_rows[i].tensor && rows[i].name == m_rows[i].name;
  }
  if (!sameTensors) {
    beginResetModel();
    m_rows = std::move(rows);
    endResetModel();
    return;
  }
  int first = -1;
  int last = -1;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (sameRow(rows[i], m_rows[i])) continue;
    if (first < 0) first = int(i);
    last = int(i);
  }
  m_rows = std::move(rows);
  if (first >= 0) emit dataChanged(index(first, 0), index(last, ColumnCount - 1));
}

int PlanTable::rowOf(size_t tensor) const {
  for (size_t i = 0; i < m_rows.size(); ++i) {
    if (m_rows[i].tensor == tensor) return int(i);
  }
  return -1;
}

int PlanTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : int(m_rows.size());
}

int PlanTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : int(ColumnCount);
}

QString PlanTable::text(const PlanRow& row, int column) const {
  switch (column) {
    case Name:
      return row.name;
    case Requested:
      return row.requested;
    case Effective:
      return row.effective;
    case Why:
      return row.why;
    case Bytes:
      return formatGB(row.bytes);
    case Damage:
      if (std::isnan(row.damage)) return tr("not measured");
      return row.error > 0 ? formatKldError(row.damage, row.error) : formatKld(row.damage);
    default:
      return {};
  }
}

QVariant PlanTable::sortKey(const PlanRow& row, int column) const {
  switch (column) {
    case Bytes:
      return qulonglong(row.bytes);
    case Damage:
      return std::isnan(row.damage) ? -1.0 : row.damage;
    case Pin:
      return row.pinned ? 1 : 0;
    default:
      return text(row, column);
  }
}

QString PlanTable::hint(const PlanRow& row, int column) const {
  switch (column) {
    case Bytes:
      return tr("%1 bytes").arg(QLocale().toString(qulonglong(row.bytes)));
    case Pin:
      return row.pinned ? tr("Pinned: click to free") : tr("Click to pin");
    case Requested:
      return tr("Double-click or F2 to choose another codec");
    case Effective:
      return row.fellBack ? tr("Not what was asked: %1").arg(row.why) : QString();
    default:
      return text(row, column);
  }
}

QVariant PlanTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || index.row() >= rowCount()) return {};
  const PlanRow& row = m_rows[size_t(index.row())];
  const int column = index.column();
  switch (role) {
    case Qt::DisplayRole:
    case Qt::EditRole:
      return text(row, column);
    case Qt::ToolTipRole:
      return hint(row, column);
    case Qt::CheckStateRole:
      if (column == Pin) return row.pinned ? Qt::Checked : Qt::Unchecked;
      return {};
    case Qt::TextAlignmentRole:
      if (column == Pin) return int(Qt::AlignCenter);
      return int(Qt::AlignVCenter | Qt::AlignLeft);
    case Qt::AccessibleTextRole:
      if (column == Pin) return row.pinned ? tr("pinned") : tr("not pinned");
      return text(row, column);
    case kSortRole:
      return sortKey(row, column);
    case kTensorRole:
      return qulonglong(row.tensor);
    default:
      return {};
  }
}

QVariant PlanTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole) {
    return QAbstractTableModel::headerData(section, orientation, role);
  }
  switch (section) {
    case Name:
      return tr("tensor");
    case Requested:
      return tr("requested");
    case Effective:
      return tr("effective");
    case Why:
      return tr("why");
    case Bytes:
      return tr("bytes");
    case Damage:
      return tr("damage");
    case Pin:
      return tr("pin");
    default:
      return {};
  }
}

Qt::ItemFlags PlanTable::flags(const QModelIndex& index) const {
  Qt::ItemFlags flags = QAbstractTableModel::flags(index);
  if (index.column() == Requested) flags |= Qt::ItemIsEditable;
  if (index.column() == Pin) flags |= Qt::ItemIsUserCheckable;
  return flags;
}

bool PlanTable::setData(const QModelIndex& index, const QVariant& value, int role) {
  if (!index.isValid() || index.row() >= rowCount()) return false;
  const size_t tensor = m_rows[size_t(index.row())].tensor;
  if (index.column() == Requested && role == Qt::EditRole) {
    const QString codec = value.toString();
    if (!m_codecs.contains(codec) || codec == m_rows[size_t(index.row())].requested) return false;
    emit codecEdited(tensor, codec);
    return true;
  }
  if (index.column() == Pin && role == Qt::CheckStateRole) {
    emit pinEdited(tensor, value.toInt() == Qt::Checked);
    return true;
  }
  return false;
}

}  // namespace bitloom
