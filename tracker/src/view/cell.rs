//! The place that holds the view of now.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;

use super::ClusterView;
use crate::Error;

/// The current [`ClusterView`].
#[derive(Debug, Default)]
pub struct ViewCell(ArcSwap<ClusterView>);

impl ViewCell {
    /// The view of now. It does not change any more while it is looked at.
    #[must_use]
    pub fn load(&self) -> Arc<ClusterView> {
        self.0.load_full()
    }

    /// Changes the view by what is known without reading: `change` may run more than once.
    pub fn update(&self, change: impl Fn(&ClusterView) -> ClusterView) {
        self.0.rcu(|view| change(view));
    }

    /// Changes the view by what `read` finds in the database; it reads again if somebody else changed the view
    /// meanwhile, so the state that is swapped in is never older than the one it replaces.
    ///
    /// Ends: each time somebody has to read again, somebody else was done.
    ///
    /// # Errors
    /// Those of `read`.
    ///
    /// # Cancel safety
    /// The view is swapped whole or not at all.
    pub async fn refresh<R>(&self, mut read: R) -> Result<Arc<ClusterView>, Error>
    where
        R: FnMut(Arc<ClusterView>) -> BoxFuture<'static, Result<ClusterView, Error>>,
    {
        loop {
            let before = self.0.load_full();
            let after = Arc::new(read(Arc::clone(&before)).await?);
            let found = self.0.compare_and_swap(&before, Arc::clone(&after));
            if Arc::ptr_eq(&found, &before) {
                return Ok(after);
            }
        }
    }
}
