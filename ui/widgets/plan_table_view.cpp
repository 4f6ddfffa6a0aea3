// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/plan_table_view.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QHeaderView>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QSortFilterProxyModel>
#include <QStyledItemDelegate>
#include <algorithm>

#include "ui/models/loom_selection.h"
#include "ui/models/plan_table.h"
#include "ui/theme.h"
#include "ui/widgets/loom_paint.h"

namespace bitloom {
namespace {

class CodecDelegate : public QStyledItemDelegate {
 public:
  CodecDelegate(const PlanTable& table, QObject* parent)
      : QStyledItemDelegate(parent), m_table(table) {}

  QWidget* createEditor(QWidget* parent, const QStyleOptionViewItem&,
                        const QModelIndex&) const override {
    auto* combo = new QComboBox(parent);
    combo->setObjectName("codecEditor");
    combo->addItems(m_table.codecs());
    connect(combo, &QComboBox::activated, this, [this, combo] {
      auto* self = const_cast<CodecDelegate*>(this);
      emit self->commitData(combo);
      emit self->closeEditor(combo);
    });
    return combo;
  }
  void setEditorData(QWidget* editor, const QModelIndex& index) const override {
    auto* combo = static_cast<QComboBox*>(editor);
    combo->setCurrentText(index.data(Qt::EditRole).toString());
  }
  void setModelData(QWidget* editor, QAbstractItemModel* model,
                    const QModelIndex& index) const override {
    model->setData(index, static_cast<QComboBox*>(editor)->currentText(), Qt::EditRole);
  }

 private:
  const PlanTable& m_table;
};

// The effective codec stands out where it is not what was asked.
class EffectiveDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override {
    QStyledItemDelegate::initStyleOption(option, index);
    const auto asked = index.sibling(index.row(), PlanTable::Requested).data().toString();
    if (asked == option->text) return;
    option->palette.setColor(QPalette::Text, theme().warn);
    option->palette.setColor(QPalette::HighlightedText, theme().warn);
  }
};

class PinDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  void paint(QPainter* painter, const QStyleOptionViewItem& option,
             const QModelIndex& index) const override {
    QStyleOptionViewItem plain = option;
    initStyleOption(&plain, index);
    plain.features &= ~QStyleOptionViewItem::HasCheckIndicator;
    plain.text.clear();
    QApplication::style()->drawControl(QStyle::CE_ItemViewItem, &plain, painter, plain.widget);
    const bool pinned = index.data(Qt::CheckStateRole).toInt() == Qt::Checked;
    const bool near = option.state & QStyle::State_MouseOver;
    if (!pinned && !near) return;
    QRectF rect(0, 0, 14, 14);
    rect.moveCenter(QRectF(option.rect).center());
    drawLock(*painter, rect, pinned ? theme().warn : theme().track);
  }

  bool editorEvent(QEvent* event, QAbstractItemModel* model, const QStyleOptionViewItem&,
                   const QModelIndex& index) override {
    const bool click = event->type() == QEvent::MouseButtonRelease &&
                       static_cast<QMouseEvent*>(event)->button() == Qt::LeftButton;
    if (!click) return event->type() == QEvent::MouseButtonDblClick;
    const bool pinned = index.data(Qt::CheckStateRole).toInt() == Qt::Checked;
    return model->setData(index, pinned ? Qt::Unchecked : Qt::Checked, Qt::CheckStateRole);
  }
};

}  // namespace

PlanTableView::PlanTableView(PlanTable& model, LoomSelection& selection, QWidget* parent)
    : QTableView(parent),
      m_table(model),
      m_selection(selection),
      m_sorted(new QSortFilterProxyModel(this)) {
  setObjectName("planTableView");
  setAccessibleName(tr("Plan, tensor by tensor"));
  m_sorted->setSourceModel(&m_table);
  m_sorted->setSortRole(PlanTable::kSortRole);
  setModel(m_sorted);
  setSortingEnabled(true);
  m_sorted->sort(-1);  // the grid's order until a heading is clicked
  horizontalHeader()->setSortIndicator(-1, Qt::AscendingOrder);
  setSelectionBehavior(QAbstractItemView::SelectRows);
  setSelectionMode(QAbstractItemView::ExtendedSelection);
  setEditTriggers(QAbstractItemView::DoubleClicked | QAbstractItemView::EditKeyPressed);
  setShowGrid(false);
  setMouseTracking(true);
  setFrameShape(QFrame::NoFrame);
  setWordWrap(false);
  setTextElideMode(Qt::ElideRight);
  verticalHeader()->hide();
  verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
  horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  horizontalHeader()->setHighlightSections(false);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
  setItemDelegateForColumn(PlanTable::Requested, new CodecDelegate(m_table, this));
  setItemDelegateForColumn(PlanTable::Effective, new EffectiveDelegate(this));
  setItemDelegateForColumn(PlanTable::Pin, new PinDelegate(this));
  connect(selectionModel(), &QItemSelectionModel::selectionChanged, this,
          &PlanTableView::takeSelection);
  connect(&m_selection, &LoomSelection::changed, this, &PlanTableView::showSelection);
  connect(m_sorted, &QAbstractItemModel::modelReset, this, &PlanTableView::showSelection);
}

void PlanTableView::takeSelection() {
  if (m_syncing) return;
  std::vector<size_t> tensors;
  for (const QModelIndex& index : selectionModel()->selectedRows()) {
    tensors.push_back(size_t(index.data(PlanTable::kTensorRole).toULongLong()));
  }
  m_syncing = true;
  m_selection.select(tensors);
  m_syncing = false;
}

void PlanTableView::showSelection() {
  if (m_syncing) return;
  m_syncing = true;
  QItemSelection rows;
  int first = m_sorted->rowCount();
  for (const size_t tensor : m_selection.tensors()) {
    const int row = m_table.rowOf(tensor);
    if (row < 0) continue;
    const QModelIndex index = m_sorted->mapFromSource(m_table.index(row, 0));
    rows.select(index, index.siblingAtColumn(PlanTable::ColumnCount - 1));
    first = std::min(first, index.row());
  }
  selectionModel()->select(rows, QItemSelectionModel::ClearAndSelect);
  if (first < m_sorted->rowCount()) {
    scrollTo(m_sorted->index(first, 0), QAbstractItemView::PositionAtTop);
  }
  m_syncing = false;
}

void PlanTableView::resizeEvent(QResizeEvent* event) {
  QTableView::resizeEvent(event);
  placeColumns();
}

void PlanTableView::placeColumns() {
  const QFontMetrics metrics = fontMetrics();
  const auto wide = [&](const char* sample) {
    return metrics.horizontalAdvance(QString::fromUtf8(sample)) + 26;
  };
  const int name = wide("blk.00.attn_output.weight");
  const int codec = wide("requested");
  const int bytes = wide("999 MB");
  const int damage = wide("0.00000 ± 0.00000");
  const int pin = wide("pin");
  const int taken = name + 2 * codec + bytes + damage + pin;
  const int why = std::max(60, viewport()->width() - taken);
  const int widths[] = {name, codec, codec, why, bytes, damage, pin};
  for (int column = 0; column < PlanTable::ColumnCount; ++column) {
    setColumnWidth(column, widths[column]);
  }
}

QString PlanTableView::selectedText() const {
  QStringList lines;
  for (const QModelIndex& index : selectionModel()->selectedRows()) {
    QStringList cells;
    for (int column = 0; column < PlanTable::Pin; ++column) {
      cells << index.siblingAtColumn(column).data().toString();
    }
    cells << index.siblingAtColumn(PlanTable::Pin).data(Qt::AccessibleTextRole).toString();
    lines << cells.join('\t');
  }
  return lines.join('\n');
}

void PlanTableView::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Copy)) {
    QApplication::clipboard()->setText(selectedText());
    return;
  }
  QTableView::keyPressEvent(event);
}

}  // namespace bitloom
